"""Language models: a local one and servers behind one Protocol, and the store of their replies."""
