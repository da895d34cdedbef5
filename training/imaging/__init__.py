"""From a sharp view with depth to what a camera in motion delivers of it: path, exposure, sensor."""
