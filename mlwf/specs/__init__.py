"""What an experiment is: one frozen pydantic model a section of its file."""
