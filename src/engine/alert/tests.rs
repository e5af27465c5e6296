//! The table of states, printed whole, and the machine against a slow second telling of DESIGN.
