"""wsframe over real sockets, spoken to by other people's WebSocket clients."""
