"""A report as one HTML page: charts in SVG, pictures inside, nothing from elsewhere."""
