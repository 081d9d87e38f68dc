"""One small module for each meter family: how to recognise it, what its codes mean, its checklist."""
