"""How the embedded teacher vit_t is trained."""
