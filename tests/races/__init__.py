"""Many clients against several server processes, and single commands held on their way to the database."""
