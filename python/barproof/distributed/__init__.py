"""Work on many processes and machines through Ray; nothing here is imported before an executor is asked for."""
