"""Tables of webhooks: endpoints and deliveries."""
