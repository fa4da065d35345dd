"""Parts of the benchmark of forecasts: a day of load, and its replay in simulated time."""
