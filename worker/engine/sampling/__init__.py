"""From logits to tokens: penalties, grammar masks, truncation and sampling. Knows no engine."""
