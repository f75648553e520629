"""May a challenger take the champion's place? Guards, slices, one paired test, and a lifetime error budget."""
