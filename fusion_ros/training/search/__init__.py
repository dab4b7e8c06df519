"""CAF's search for the weights of a fusion loss, guided by a perception network."""
