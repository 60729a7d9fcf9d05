"""Transport: sockets on one side, octets on the other, and nothing known of names."""
