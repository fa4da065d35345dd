"""Routes of webhooks: endpoints, and what was delivered to them."""
