package ident

// SubPrefix begins the public subject of every person, and no client id: in the
// sub of an access token a client is never taken for a person (RFC 9700 section
// 4.15).
const SubPrefix = "p_"
