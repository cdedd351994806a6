"""From events and the clock to alerts and notices, each with its reason. It neither words nor sends anything."""
