"""An agent at the site: reads devices, stamps time and quality, keeps readings until they are stored."""
