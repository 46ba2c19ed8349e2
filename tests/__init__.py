"""What all tests stand on: a real MongoDB, a real server, people and places."""
