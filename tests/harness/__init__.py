"""What the black-box tests stand on: processes, stores, clients, the wire."""
