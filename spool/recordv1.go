package spool

// The records of version 1, which spools from before version 2 still hold. They are read,
// never written.

type messageArray struct {
	_          struct{} `cbor:",toarray"`
	Local      string
	Domain     string
	Recipients []recipientArray
	Extensions uint8
	Return     uint8
	EnvelopeID string
	Listener   string
	Client     []byte
	Greeting   string
	User       string
	Protocol   string
	TLS        string
	Header     []byte
	Size       int64
	Received   int64
}

type recipientArray struct {
	_        struct{} `cbor:",toarray"`
	Local    string
	Domain   string
	Notify   uint8
	Original string
}

type deliveryArray struct {
	_          struct{} `cbor:",toarray"`
	Recipients []int
	Flags      uint8
	Attempts   int
	Code       int
	Enhanced   [3]int
	Text       string
}

func (c codec) decodeMessageArray(value []byte) (messageRecord, error) {
	var a messageArray
	if err := c.decode(value, layoutSize, &a); err != nil {
		return messageRecord{}, err
	}
	r := messageRecord{
		Local: a.Local, Domain: a.Domain, Extensions: a.Extensions, Return: a.Return, EnvelopeID: a.EnvelopeID,
		Listener: a.Listener, Client: a.Client, Greeting: a.Greeting, User: a.User, Protocol: a.Protocol, TLS: a.TLS,
		Header: a.Header, Size: a.Size, Received: a.Received,
	}
	for _, to := range a.Recipients {
		r.Recipients = append(r.Recipients, recipientRecord{Local: to.Local, Domain: to.Domain, Notify: to.Notify, Original: to.Original})
	}
	return r, nil
}

func (c codec) decodeDeliveryArray(value []byte) (deliveryRecord, error) {
	var a deliveryArray
	if err := c.decode(value, 0, &a); err != nil {
		return deliveryRecord{}, err
	}
	return deliveryRecord{
		Recipients: a.Recipients, Flags: a.Flags, Attempts: a.Attempts,
		Code: a.Code, Enhanced: a.Enhanced[:], Text: a.Text,
	}, nil
}
