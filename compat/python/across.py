"""Every client reads what every other one wrote: the sample, once in each codec."""
from checks import read, same_records
from sample import CODECS, SAMPLE, topic_of


def pair(writer_name, reader):
    def check(ctx):
        topic = topic_of(writer_name, ctx.run)
        for partition in range(len(CODECS)):
            same_records(read(reader(ctx.bootstrap), topic, len(SAMPLE), partition), SAMPLE)

    return f"{reader.name}.reads_{writer_name}", check


def pairs(clients):
    return [pair(writer.name, reader) for writer in clients for reader in clients if writer is not reader]


def after_java(clients):
    """For the sample that the Java program leaves."""
    return [pair("java", reader) for reader in clients]
