"""Images: resizing, cropping, flipping, colors, decoding, measures."""
