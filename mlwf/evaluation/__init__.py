"""How good predictions are: metrics, scorers, resampling and intervals, from arrays alone; nothing here fits."""
