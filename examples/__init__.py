"""Complete examples: what a user of ParamMem writes, and a program that carries it out."""
