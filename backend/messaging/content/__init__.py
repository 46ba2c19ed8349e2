"""What messages say, and whether they are still worth sending."""
