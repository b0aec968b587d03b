"""What the tests of each assignment compare with: the library's answer to what it asks for."""
