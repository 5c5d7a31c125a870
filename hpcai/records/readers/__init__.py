"""One reader per log format; each turns a file into the canonical jobs table."""
