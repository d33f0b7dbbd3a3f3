// Package suppression remembers the recipients of whom a next hop has said that there are none of
// that name, and those whom operators name, so that no more mail for them is taken: sending on
// costs the reputation of whoever sends. It is a list in memory, kept as notes.
package suppression
