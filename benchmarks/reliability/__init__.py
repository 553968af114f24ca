"""What a running server makes of hostile pictures, requests and clients, held against stated targets."""
