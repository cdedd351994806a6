"""The program on the Windows mail host: takes messages from the service and sends them over MAPI, with proof."""
