"""What is known of an adapter, said to people: the ten questions, who gave an answer, the picture."""
