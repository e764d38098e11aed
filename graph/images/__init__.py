"""Images: resized, cropped, turned, recoloured, decoded, measured."""
