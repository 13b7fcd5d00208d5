"""The system of the iSeg paper: a feature field and a click decoder for one mesh."""
