"""What `live` does on the device itself: samples made, kept and drawn while worker processes furnish rooms."""
