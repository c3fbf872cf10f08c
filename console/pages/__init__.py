"""Pages: what people see and do in a browser. One folder each first word of a path, and `frame` around all of them."""
