"""One turn of self-improvement: experience in, a challenger trained and compared, its promotion committed.

What happens in a turn and in which order is the table in steps.py. When it happens is not decided here but by flows/
or by a person with `parammem improve`.
"""
