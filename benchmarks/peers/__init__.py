"""What others would have built: the same capture of the same toolsets into the same tables, in databases of their own.

The capture is one piece of ORM code, as SQLAlchemy's documentation would have it; the peers differ in what brings the
work to it and in what keeps two workers off one toolset.
"""
