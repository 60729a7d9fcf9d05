"""From a question's octets to an answer's."""
