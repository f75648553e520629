"""What runs outside the main process: worker, zygote and child. Standard library only, and no import of parammem:
these modules are loaded by `python -I -S inner/__main__.py` under the package name `sandbox_inner`."""
