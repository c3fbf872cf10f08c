"""Which settings of the Kafka client a person may give, by librdkafka's names."""

#: Nothing that names a file, a program, a plugin or an address to fetch from.
ALLOWED_SETTINGS = frozenset(
    {
        "broker.address.family",
        "client.id",
        "metadata.max.age.ms",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.nagle.disable",
        "socket.timeout.ms",
        "ssl.ca.pem",
        "ssl.certificate.pem",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.password",
        "ssl.key.pem",
    }
)
