"""Networks: the feature field, the interactive attention, the click decoders and the trained pair that answers clicks."""
