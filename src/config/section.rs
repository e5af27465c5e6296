//! One table of the rules file while it is read: every key is asked for once, every mistake is noted with its
//! place, and what nobody asked for is an unknown key. (Bodies to be written by the owner of config.)
