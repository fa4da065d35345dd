"""How models write what is not plain text: read off the text as it comes."""
