"""What is known of an adapter, said to people: the ten questions, who gave an answer, the picture. Each answer is
read from `past`, `rows` and `checks`; nothing is checked here first."""
