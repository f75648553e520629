"""Rows in, an adapter folder out: lora_sft is the recipe; prepare, encoding, order, selection and controls feed it;
lean computes its forward; checkpoint, finished and publish write."""
