"""What ``barproof fetch`` is made of: files over the web, archives, exchanges, parts on disk, and what is missing."""
