package credential

// PublishedData is what the Secret for clients holds: key, algorithm, and the secret or the pair of keys.
func PublishedData(m Material) map[string][]byte {
	data := map[string][]byte{
		DataKeyKey:       []byte(m.Key),
		DataKeyAlgorithm: []byte(m.Algorithm),
	}
	if FamilyOf(m.Algorithm) == HMAC {
		data[DataKeySecret] = []byte(m.Secret.Reveal())
		return data
	}
	data[DataKeyPublicKey] = []byte(m.PublicKeyPEM)
	data[DataKeyPrivateKey] = []byte(m.PrivateKeyPEM.Reveal())
	return data
}
