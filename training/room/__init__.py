"""Random furnished rooms, and the renderer that draws them."""
