"""Answers of Flux that end with an error, as a real InfluxDB gave one."""

from collections.abc import Callable, Sized

import pytest

from collector.adapters.influx_flux import BrokenOff, rows_of, tables_in

TABLE = "#datatype,string,long,dateTime:RFC3339,string,double\r\n#group,false,false,false,false,false\r\n#default,a,,,,\r\n,result,table,_time,_field,_value\r\n,,0,2020-01-01T00:00:00Z,a,1.5\r\n\r\n"
FAILED = "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,runtime error: cannot divide by zero,\r\n"


@pytest.mark.parametrize("read", [rows_of, tables_in])
@pytest.mark.parametrize(
    "answer", [TABLE + FAILED, TABLE + "\r\n" + FAILED, FAILED], ids=["then", "with a gap", "alone"]
)
def test_an_answer_that_ends_with_an_error_is_none(
    read: Callable[[str], Sized], answer: str
) -> None:
    assert len(read(TABLE)) == 1
    with pytest.raises(BrokenOff, match="cannot divide by zero"):
        read(answer)
