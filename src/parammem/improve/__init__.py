"""One turn of self-improvement: experience in, a challenger trained and judged, its promotion made durable.

What happens in a turn and in which order is the table in steps.py. When it happens is not decided here but by flows/
or by a person with `parammem improve`.
"""
